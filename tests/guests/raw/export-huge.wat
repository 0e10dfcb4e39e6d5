;; Leaves 32 MiB of nothing behind.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func (export "switchboard:plugin/handover@0.1.0#export-state") (result i32)
  (drop (memory.grow (i32.const 512))) (i32.store (i32.const 16) (i32.const 33554432)) (i32.const 8))
(func (export "switchboard:plugin/handover@0.1.0#import-state") (param i32 i32 i32 i32) (result i32)
  (i32.const 0))
