;; Leaves nothing in particular behind, and crashes when it is to take that over.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func (export "switchboard:plugin/handover@0.1.0#export-state") (result i32)
  (i32.const 0))
(func (export "switchboard:plugin/handover@0.1.0#import-state") (param i32 i32 i32 i32) (result i32)
  (unreachable))
