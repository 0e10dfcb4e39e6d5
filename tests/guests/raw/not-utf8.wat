;; Answers with bytes that are no text.
;; part: memory
;; part: realloc
;; part: manifest
(data (i32.const 768) "\ff\fe{}")
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (i32.store8 (i32.const 8) (i32.const 1))
  (i32.store (i32.const 16) (i32.const 768))
  (i32.store (i32.const 20) (i32.const 4))
  (i32.const 0))
