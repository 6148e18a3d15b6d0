;; A command that imports what nothing here provides.
(component
  (import "acme:billing/ledger@1.2.0" (instance $ledger (export "balance" (func (result u64)))))
  (core module $Main
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $main (instantiate $Main))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))
