;; Needs a table of a million functions to begin with.
(table 1000000 funcref)
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
