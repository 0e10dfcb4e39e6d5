;; Needs four GiB to begin with.
(memory (export "memory") 65536)
;; part: realloc
;; part: manifest
;; part: quiet
