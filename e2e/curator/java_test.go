package curator

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The jars of Debian's packages name in their manifests the other jars that they need:
// curator-framework, curator-client, zookeeper, zookeeper-jute, guava, slf4j-api, and
// theirs.
const (
	recipesJar = "/usr/share/java/curator-recipes.jar"
	loggerJar  = "/usr/share/java/slf4j-simple.jar"
)

// compileContender compiles testdata/Contender.java and returns the folder with its
// classes. It fails the test where the compiler or Curator are missing.
func compileContender(t *testing.T) string {
	t.Helper()
	const remedy = "a contender on Curator is needed: apt-get install default-jdk-headless libcurator-recipes-java libslf4j-java"
	javac, err := exec.LookPath("javac")
	if err != nil {
		t.Fatalf("%s (%v)", remedy, err)
	}
	for _, jar := range []string{recipesJar, loggerJar} {
		if _, err := os.Stat(jar); err != nil {
			t.Fatalf("%s (%v)", remedy, err)
		}
	}
	classes := t.TempDir()
	cmd := exec.Command(javac, "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-proc:none",
		"-cp", recipesJar, "-d", classes, filepath.Join("testdata", "Contender.java"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile Contender.java: %v\n%s", err, out)
	}
	return classes
}

// javaFlags are the arguments of a Java machine that runs the contender: small and
// quick to start.
func javaFlags(classes string) []string {
	return []string{
		"-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-cp", strings.Join([]string{classes, recipesJar, loggerJar}, ":"), "Contender",
	}
}
