;; Holds a run of its own thread, and asks another plugin, which does the same, for a tool that waits for that
;; one's thread: of two that embrace like this, neither ever lets go.
(import "switchboard:plugin/runs@0.1.0" "start" (func $start (param i32 i32 i32 i32)))
(import "switchboard:plugin/toolbox@0.1.0" "call" (func $call (param i32 i32 i32 i32 i32)))
;; part: memory
;; part: manifest
(data (i32.const 768) "thread")
(data (i32.const 776) "{}")
(data (i32.const 784) "{{other}}_tool")
(data (i32.const 832) "[{\22name\22:\22{{name}}_tool\22,\22inputSchema\22:{\22type\22:\22object\22}}]")
;; Nothing that the host writes is needed afterwards.
(global $heap (mut i32) (i32.const 262144))
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (i32.gt_u (global.get $heap) (i32.const 900000)) (then (global.set $heap (i32.const 262144))))
  (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get 3)) (i32.const 15)) (i32.const -16)))
  (i32.and (i32.sub (global.get $heap) (local.get 3)) (i32.const -16)))
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $start (i32.const 1) (i32.const 768) (i32.const 6) (i32.const 512))
  (loop $more
    (call $call (i32.const 784) (i32.const {{other-tool-bytes}}) (i32.const 776) (i32.const 2) (i32.const 512))
    (br $more))
  (unreachable))
;; ok(text)
(func (export "switchboard:plugin/tools@0.1.0#list-tools") (param i32) (result i32)
  (i32.store (i32.const 4) (i32.const 832))
  (i32.store (i32.const 8) (i32.const {{list-bytes}}))
  (i32.const 0))
(func (export "switchboard:plugin/tools@0.1.0#call-tool") (param i32) (result i32)
  (call $start (i32.const 1) (i32.const 768) (i32.const 6) (i32.const 512))
  (i32.store (i32.const 4) (i32.const 776))
  (i32.store (i32.const 8) (i32.const 2))
  (i32.const 0))
