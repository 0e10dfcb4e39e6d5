;; Computes for ever.
;; part: memory
;; part: realloc
;; part: manifest
(func (export "switchboard:plugin/handler@0.1.0#handle") (param i32) (result i32) (loop (br 0)) (unreachable))
