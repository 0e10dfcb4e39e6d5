;; Calls a tool of another plugin, and refuses with what the host says to that.
(import "switchboard:plugin/toolbox@0.1.0" "call" (func $call (param i32 i32 i32 i32 i32)))
;; part: memory
;; part: realloc
;; part: manifest
;; part: refuse
(data (i32.const 800) "nested_tool")
(data (i32.const 816) "{}")
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $call (i32.const 800) (i32.const 11) (i32.const 816) (i32.const 2) (i32.const 512))
  (call $refuse))
