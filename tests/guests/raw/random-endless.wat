;; Asks for random bytes for ever, as many at a time as it may.
(import "switchboard:plugin/random@0.1.0" "bytes" (func $bytes (param i32 i32)))
;; part: memory
;; part: manifest
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 262144))
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (loop $more (call $bytes (i32.const 65536) (i32.const 512)) (br $more))
  (unreachable))
