;; Crashes when the host asks it for room.
;; part: memory
;; part: manifest
;; part: quiet
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (unreachable))
