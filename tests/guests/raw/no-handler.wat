;; Has a manifest, and nothing else.
;; part: memory
;; part: realloc
;; part: manifest
