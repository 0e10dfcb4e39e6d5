;; Calls the host before anybody has called it.
(import "switchboard:plugin/clock@0.1.0" "now-ms" (func $now (result i64)))
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func $start (drop (call $now)))
(start $start)
