;; Divides by zero.
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (i32.div_u (local.get 0) (i32.load (i32.const 0))))
