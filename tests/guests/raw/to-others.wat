;; Sends to somebody who did not ask, and refuses with what the host says to that.
(import "switchboard:plugin/messages@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
;; part: memory
;; part: realloc
;; part: manifest
;; part: refuse
(data (i32.const 800) "bob")
(data (i32.const 816) "{}")
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $send (i32.const 2) (i32.const 800) (i32.const 3) (i32.const 800) (i32.const 3) (i32.const 816) (i32.const 2)
    (i32.const 0) (i32.const 512))
  (call $refuse))
