package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "server" { // one that will be killed
		_, err := Program{Args: []string{os.Args[0], "program"}}.Run(context.Background())
		fmt.Println("the program ended before its server:", err)
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == "program" {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/fd/1", os.Getppid()), fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
			os.Exit(1)
		}
		io.Copy(io.Discard, neverEnding{})
	}
	os.Exit(m.Run())
}

type neverEnding struct{}

func (neverEnding) Read([]byte) (int, error) {
	<-time.After(time.Hour)
	return 0, io.EOF
}

// What a killed server has begun ends with it, so that it cannot halt what the next server resumed.
func TestEndsWithItsServer(t *testing.T) {
	server := exec.Command(os.Args[0], "server")
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	server.Process.Kill()
	stat := "/proc/" + strings.TrimSpace(line) + "/stat"
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		text, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(text), ") Z ") || strings.Contains(string(text), ") X ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the program goes on: %s", text)
		}
	}
}

// A program that leaves something running which holds its output does not keep us waiting.
func TestLeavesSomethingRunning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Program{Args: []string{"/bin/sh", "-c", "sleep 5 & echo started"}}.Run(ctx)
	if err != nil || r.Exit != 0 || r.Output != "started" {
		t.Errorf("%+v, %v", r, err)
	}
}
