;; Offers the host the same place for everything, so that its values overwrite each other, and sends back what
;; became of them.
;; part: memory
;; part: manifest
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 262144))
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  ;; ok(some(message)), whose texts are whatever the first words of the parameters say.
  (i32.store8 (i32.const 8) (i32.const 1))
  (i64.store (i32.const 16) (i64.load (local.get 0)))
  (i64.store (i32.const 24) (i64.load (local.get 0)))
  (i32.const 0))
