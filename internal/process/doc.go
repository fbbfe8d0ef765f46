// Package process starts commands that end with this process, each in a process
// group of its own, and ends whole groups.
//
// On Linux the kernel kills a command when this process is gone, even by kill -9.
// That signal follows the thread that forked, not the process, so commands are
// started by a Spawner, whose thread lives as long as they do. It reaches the
// command itself; processes that the command has started end with it only if it
// sees to that. Elsewhere nothing ends with a killed process.
//
//	prepare: cmd.SysProcAttr = Attributes()
//	start:   spawner.Start(cmd)
//	follow:  g := NewGroup(cmd); g.Await()
//	end:     g.Signal(TERM) ... g.Signal(KILL) ... g.Finish()
//
// Between Await and Finish the command is a zombie on Linux: its number, which is
// also its group's, names nobody else, so that a signal to the group cannot reach
// strangers.
//
// The package starts no goroutine.
package process
