;; Answers with a text that has as many bytes as there are addresses.
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (i32.store8 (i32.const 8) (i32.const 1))
  (i32.store (i32.const 16) (i32.const 1024))
  (i32.store (i32.const 20) (i32.const -1))
  (i32.const 0))
