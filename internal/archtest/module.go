package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Module is what the rules read.
type Module struct {
	// Path is the module path.
	Path string
	// Packages are the module's packages by their path below Path.
	Packages []*Package
	// Imports holds, for every package that the module depends on, the standard
	// library's included, what its non-test code imports. The keys and values are
	// full import paths.
	Imports map[string][]string
}

// Package is one package of the module.
type Package struct {
	// Path is the folder below the module's root, with slashes.
	Path string
	// Files are all files, tests included, by name, without those that a generator wrote
	// from a .proto file: nobody edits those.
	Files []*File
}

// File is the syntax of one Go file.
type File struct {
	// Path is the file's path below the module's root.
	Path string
	// Test says whether the file ends in _test.go.
	Test bool
	// Lines is the number of lines.
	Lines  int
	Syntax *ast.File

	fset *token.FileSet
}

// Support reports whether the package exists for tests only: its last element
// ends in "test", as in election/electiontest.
func (p *Package) Support() bool {
	return strings.HasSuffix(path.Base(p.Path), "test") && path.Base(p.Path) != "archtest"
}

// Main reports whether the package is a command.
func (p *Package) Main() bool {
	return slices.ContainsFunc(p.Files, func(f *File) bool { return !f.Test && f.Syntax.Name.Name == "main" })
}

// Line returns the line of pos.
func (f *File) Line(pos token.Pos) int { return f.fset.Position(pos).Line }

// Imported returns the paths that the file imports.
func (f *File) Imported() []string {
	var paths []string
	for _, spec := range f.Syntax.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}

// Load reads the module whose root folder is given.
func Load(ctx context.Context, root string) (*Module, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps",
		"-json=ImportPath,Dir,Module,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Imports", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w: %s", root, err, stderr.String())
	}
	m := &Module{Imports: make(map[string][]string)}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return m, nil
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		m.Imports[l.ImportPath] = l.Imports
		if l.Module == nil || !l.Module.Main {
			continue
		}
		m.Path = l.Module.Path
		p, err := l.parse()
		if err != nil {
			return nil, err
		}
		m.Packages = append(m.Packages, p)
	}
}

// listed is what "go list" says of one package.
type listed struct {
	ImportPath string `json:"ImportPath"`
	Dir        string `json:"Dir"`
	// Module is nil for the standard library.
	Module *struct {
		Path string `json:"Path"`
		Main bool   `json:"Main"`
	} `json:"Module"`
	GoFiles        []string `json:"GoFiles"`
	CgoFiles       []string `json:"CgoFiles"`
	IgnoredGoFiles []string `json:"IgnoredGoFiles"`
	TestGoFiles    []string `json:"TestGoFiles"`
	XTestGoFiles   []string `json:"XTestGoFiles"`
	Imports        []string `json:"Imports"`
}

func (l listed) parse() (*Package, error) {
	p := &Package{Path: strings.TrimPrefix(strings.TrimPrefix(l.ImportPath, l.Module.Path), "/")}
	for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles) {
		src, err := os.ReadFile(filepath.Join(l.Dir, name))
		if err != nil {
			return nil, err
		}
		f, err := parse(path.Join(p.Path, name), src)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".pb.go") && ast.IsGenerated(f.Syntax) {
			continue
		}
		p.Files = append(p.Files, f)
	}
	return p, nil
}

func parse(name string, src []byte) (*File, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &File{
		Path:   name,
		Test:   strings.HasSuffix(name, "_test.go"),
		Lines:  bytes.Count(src, []byte("\n")),
		Syntax: syntax,
		fset:   fset,
	}, nil
}
