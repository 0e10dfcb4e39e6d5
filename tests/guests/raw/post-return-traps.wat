;; Answers, and crashes when it cleans up.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func (export "cabi_post_switchboard:plugin/handler@0.1.0#handle") (param i32) (unreachable))
