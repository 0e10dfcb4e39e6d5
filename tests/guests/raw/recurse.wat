;; Calls itself, and has something left to do afterwards, so that no call can be a jump.
;; part: memory
;; part: realloc
;; part: manifest
(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32) (call $deeper (local.get 0)))
