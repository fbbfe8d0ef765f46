// Package gateway holds the interfaces through which the components of a cluster
// meet, and the messages they exchange. Components never import one another: a
// dispatcher, a job master, and a task executor know each other only as gateways,
// whether both sides are in one process or on two machines.
//
//	client, web ──Dispatcher──▶ coordinator.Dispatcher
//	                                   │ makes
//	                                   ▼
//	                            jobmaster.Master ──TaskExecutor──▶ taskexecutor.Executor
//	                                   ▲                                  │
//	                                   └────────────JobMaster─────────────┘
//
// A gateway value belongs to one term: it was obtained with that term's fencing
// token, and every call on it fails with ErrFencingToken once the callee serves
// another.
package gateway
