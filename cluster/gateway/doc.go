// Package gateway holds the interfaces through which the components of a cluster
// meet, and the messages they exchange. Components never import one another: a
// dispatcher, a job master, a resource manager and a worker know each other only as
// gateways, whether both sides are in one process or on two machines. Package
// cluster/wire carries them from one machine to another.
//
//	client, web ──Dispatcher, Recovery──▶ coordinator.Dispatcher
//	     │                                       │ makes
//	     │                                       ▼
//	     │                 ┌──JobMaster──▶ jobmaster.Master ◀──JobMaster──┐
//	     │                 │                 │          │                 │
//	     │                 │   ResourceManager      TaskExecutor          │
//	     ▼                 │                 ▼          ▼                 │
//	ResourceManager ──▶ resourcemanager.Manager ──TaskExecutor──▶ taskexecutor.Executor
//	                       ▲                                              │
//	                       └───────────────ResourceManager────────────────┘
//
// The gateways of what leads belong to one term: they were obtained with that term's
// fencing token, and every call on them fails with ErrFencingToken once the callee
// serves another. A worker serves many terms, one after the other: its calls name theirs,
// and it refuses those of a term older than one it has seen.
package gateway
