;; Asked whether it is fit, it never says.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func (export "switchboard:plugin/health@0.1.0#self-test") (result i32) (loop (br 0)) (unreachable))
