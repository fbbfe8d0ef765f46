package wire

import (
	"google.golang.org/grpc"

	"github.com/coordd/coordd/cluster/gateway"
	"github.com/coordd/coordd/cluster/gateway/gatewaypb"
	"github.com/coordd/coordd/rpc/remote"
)

// Gateways returns all gateways, for a remote.Config.
func Gateways() []*grpc.ServiceDesc {
	return []*grpc.ServiceDesc{
		&gatewaypb.TaskExecutor_ServiceDesc, &gatewaypb.JobMaster_ServiceDesc, &gatewaypb.ResourceManager_ServiceDesc,
		&gatewaypb.Dispatcher_ServiceDesc, &gatewaypb.Recovery_ServiceDesc,
	}
}

// TaskExecutor returns the gateway of workers.
func TaskExecutor() remote.Gateway[gateway.TaskExecutor] {
	return remote.Gateway[gateway.TaskExecutor]{
		Desc: &gatewaypb.TaskExecutor_ServiceDesc,
		Client: func(cc grpc.ClientConnInterface) gateway.TaskExecutor {
			return taskExecutorStub{gatewaypb.NewTaskExecutorClient(cc)}
		},
		Server: func(impl gateway.TaskExecutor) any { return taskExecutorServer{impl: impl} },
	}
}

// JobMaster returns the gateway of job masters.
func JobMaster() remote.Gateway[gateway.JobMaster] {
	return remote.Gateway[gateway.JobMaster]{
		Desc: &gatewaypb.JobMaster_ServiceDesc,
		Client: func(cc grpc.ClientConnInterface) gateway.JobMaster {
			return jobMasterStub{gatewaypb.NewJobMasterClient(cc)}
		},
		Server: func(impl gateway.JobMaster) any { return jobMasterServer{impl: impl} },
	}
}

// ResourceManager returns the gateway of the resource manager.
func ResourceManager() remote.Gateway[gateway.ResourceManager] {
	return remote.Gateway[gateway.ResourceManager]{
		Desc: &gatewaypb.ResourceManager_ServiceDesc,
		Client: func(cc grpc.ClientConnInterface) gateway.ResourceManager {
			return resourceManagerStub{gatewaypb.NewResourceManagerClient(cc)}
		},
		Server: func(impl gateway.ResourceManager) any { return resourceManagerServer{impl: impl} },
	}
}

// Dispatcher returns the gateway of the dispatcher.
func Dispatcher() remote.Gateway[gateway.Dispatcher] {
	return remote.Gateway[gateway.Dispatcher]{
		Desc: &gatewaypb.Dispatcher_ServiceDesc,
		Client: func(cc grpc.ClientConnInterface) gateway.Dispatcher {
			return dispatcherStub{gatewaypb.NewDispatcherClient(cc)}
		},
		Server: func(impl gateway.Dispatcher) any { return dispatcherServer{impl: impl} },
	}
}

// Recovery returns the gateway of the dispatcher for operators.
func Recovery() remote.Gateway[gateway.Recovery] {
	return remote.Gateway[gateway.Recovery]{
		Desc: &gatewaypb.Recovery_ServiceDesc,
		Client: func(cc grpc.ClientConnInterface) gateway.Recovery {
			return recoveryStub{gatewaypb.NewRecoveryClient(cc)}
		},
		Server: func(impl gateway.Recovery) any { return recoveryServer{impl: impl} },
	}
}
