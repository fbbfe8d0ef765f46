//go:build !linux

package zookeepertest

import "syscall"

// dieWithParent has no counterpart here: children of a killed test stay behind.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// awaitStopped trusts the signal where threads cannot be looked at.
func awaitStopped(int) error { return nil }
