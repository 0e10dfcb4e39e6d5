;; Says of itself a hundred million characters.
(memory (export "memory") 1600)
;; part: realloc
;; part: quiet
(func (export "switchboard:plugin/plugin@0.1.0#manifest") (result i32)
  (i32.store (i32.const 504) (i32.const 1048576))
  (i32.store (i32.const 508) (i32.const 100000000))
  (memory.fill (i32.const 1048576) (i32.const 0x20) (i32.const 100000000))
  (i32.const 504))
