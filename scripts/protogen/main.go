// Command protogen generates the Go code of the protobuf files of coordd, or checks
// that it is there as it would be generated. The compiler and the plugins are Go
// programs of the versions in go.mod, a module of its own so that nothing of them
// reaches coordd's.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// run takes the folder of the module and the protobuf files below it.
func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("protogen", flag.ContinueOnError)
	check := fs.Bool("check", false, "write nothing; fail if a file is not as it would be generated")
	root := fs.String("root", ".", "folder below which the files are")
	if err := fs.Parse(args); err != nil {
		return err
	}
	request, err := compile(ctx, *root, fs.Args())
	if err != nil {
		return err
	}
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		files, err := generate(ctx, plugin, request)
		if err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
		for _, f := range files {
			if err := put(filepath.Join(*root, f.GetName()), f.GetContent(), *check, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile reads the files and makes what plugins are asked with.
func compile(ctx context.Context, root string, names []string) ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, err
	}
	parameter := "paths=source_relative"
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: &parameter}
	seen := make(map[string]bool)
	for _, f := range files {
		request.ProtoFile = append(request.ProtoFile, within(f, seen)...)
	}
	return proto.Marshal(request)
}

// within returns the file and what it imports, imports first.
func within(f protoreflect.FileDescriptor, seen map[string]bool) (all []*descriptorpb.FileDescriptorProto) {
	if seen[f.Path()] {
		return nil
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		all = append(all, within(f.Imports().Get(i).FileDescriptor, seen)...)
	}
	return append(all, protoutil.ProtoFromFileDescriptor(f))
}

// generate asks a plugin, which is a tool of this module.
func generate(ctx context.Context, plugin string, request []byte) ([]*pluginpb.CodeGeneratorResponse_File, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	if response.Error != nil {
		return nil, fmt.Errorf("%s", response.GetError())
	}
	return response.GetFile(), nil
}

// put writes a file, or checks that it is there.
func put(path, content string, check bool, out io.Writer) error {
	there, err := os.ReadFile(path)
	if err == nil && string(there) == content {
		return nil
	}
	if check {
		return fmt.Errorf("%s is not as it would be generated; run: make generate", path)
	}
	fmt.Fprintln(out, "generated", path)
	return os.WriteFile(path, []byte(content), 0o644)
}
