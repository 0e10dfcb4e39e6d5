;; Asked who it is, it never says.
;; part: memory
;; part: realloc
;; part: quiet
(func (export "switchboard:plugin/plugin@0.1.0#manifest") (result i32) (loop (br 0)) (unreachable))
