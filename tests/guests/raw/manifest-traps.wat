;; Crashes when it is asked who it is.
;; part: memory
;; part: realloc
;; part: quiet
(func (export "switchboard:plugin/plugin@0.1.0#manifest") (result i32) (unreachable))
