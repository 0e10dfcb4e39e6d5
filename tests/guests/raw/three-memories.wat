;; Has more memories than any toolchain makes.
(memory (export "memory") 16)
(memory 1)
(memory 1)
;; part: realloc
;; part: manifest
;; part: quiet
