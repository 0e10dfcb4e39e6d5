;; Computes for a while before it is ready, as an interpreter does.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func $start (local $left i32)
  (local.set $left (i32.const 20000000))
  (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
(start $start)
