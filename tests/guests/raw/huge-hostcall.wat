;; Wants the host to keep two MiB at once.
(import "switchboard:plugin/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i32 i64 i32)))
(memory (export "memory") 64)
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $set (i32.const 1) (i32.const 1024) (i32.const 3) (i32.const 1048576) (i32.const 2097152) (i32.const 0) (i64.const 0) (i32.const 512))
  (i32.const 0))
