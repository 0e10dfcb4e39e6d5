;; Asks for four GiB of random bytes at once.
(import "switchboard:plugin/random@0.1.0" "bytes" (func $bytes (param i32 i32)))
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32)
  (call $bytes (i32.const -1) (i32.const 512))
  (i32.const 0))
