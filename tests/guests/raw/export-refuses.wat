;; Leaves nothing behind, and says so without a reason.
;; part: memory
;; part: realloc
;; part: manifest
;; part: quiet
(func (export "switchboard:plugin/handover@0.1.0#export-state") (result i32)
  (i32.store8 (i32.const 8) (i32.const 1)) (i32.const 8))
(func (export "switchboard:plugin/handover@0.1.0#import-state") (param i32 i32 i32 i32) (result i32)
  (i32.const 0))
