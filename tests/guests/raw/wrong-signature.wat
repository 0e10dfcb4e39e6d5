;; Calls a function by a pointer, as if it had other parameters.
;; part: memory
;; part: realloc
;; part: manifest
(type $nothing (func))
(table 1 1 funcref)
(elem (i32.const 0) $add)
(func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call_indirect (type $nothing) (i32.const 0))
  (i32.const 0))
