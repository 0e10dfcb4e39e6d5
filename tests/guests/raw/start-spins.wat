;; Never finishes to start.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func $start (loop (br 0)))
(start $start)
