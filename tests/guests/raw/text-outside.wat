;; Gives the host a text that lies beyond the end of its memory.
(import "switchboard:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $log (i32.const 1) (i32.const -4096) (i32.const 16) (i32.const 0) (i32.const 0))
  (i32.const 0))
