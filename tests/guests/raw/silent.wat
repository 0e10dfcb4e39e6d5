;; Does nothing. What is hostile about it is its manifest.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
