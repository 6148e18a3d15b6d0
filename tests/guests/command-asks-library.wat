;; A command that imports an interface of a library, and traps unless its balance is 42.
(component
  (import "acme:billing/ledger@1.2.0" (instance $ledger (export "balance" (func (result u64)))))
  (core func $balance (canon lower (func $ledger "balance")))
  (core module $Main
    (import "ledger" "balance" (func $balance (result i64)))
    (memory (export "memory") 2)
    (func (export "run") (result i32)
      (if (i64.ne (call $balance) (i64.const 42)) (then unreachable))
      (i32.const 0)))
  (core instance $main (instantiate $Main (with "ledger" (instance (export "balance" (func $balance))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))
