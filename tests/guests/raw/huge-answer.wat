;; Answers with two MiB of JSON: an object that is all space.
(memory (export "memory") 64)
;; part: realloc
;; part: manifest
(data (i32.const 768) "huge")
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (memory.fill (i32.const 1048576) (i32.const 0x20) (i32.const 2097152))
  (i32.store8 (i32.const 1048576) (i32.const 0x7b))
  (i32.store8 (i32.const 3145727) (i32.const 0x7d))
  (i32.store8 (i32.const 8) (i32.const 1))
  (i32.store (i32.const 16) (i32.const 768))
  (i32.store (i32.const 20) (i32.const 4))
  (i32.store (i32.const 24) (i32.const 1048576))
  (i32.store (i32.const 28) (i32.const 2097152))
  (i32.const 0))
