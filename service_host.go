package safepoint

import (
	"crypto/sha256"
	"encoding/base32"
	"path"
	"strings"
	"time"
)

// HostService is how a service of this machine, or one that this machine's operator has the rights for, is halted. Only
// the operator's file declares it, never a user of the console. Exactly one of its kinds is set.
type HostService struct {
	Systemd    *SystemdService
	Docker     *DockerService
	Kubernetes *KubernetesService
	Command    *CommandService
	Health     *HealthCheck // asked besides what the kind knows itself; nil asks nobody else
}

// SystemdService is units of one systemd.
type SystemdService struct {
	Units []string // stopped in this order, started in the reverse one; with their suffix
	Bus   string   // D-Bus address; "" means the system bus
}

// DockerService is containers of one Docker engine: those named, or those of a compose project.
type DockerService struct {
	Host       string   // "unix:///run/docker.sock" or "tcp://host:2376"; "" means unix:///var/run/docker.sock
	CAFile     string   // tcp: PEM files for TLS; without any the connection is in the clear
	CertFile   string   //
	KeyFile    string   //
	Containers []string // names or IDs
	Project    string   // of compose
	Services   []string // of the project; none means all
	// StopTimeout is how long a container has after its stop signal until it is killed; 0 leaves it to the container.
	StopTimeout time.Duration
}

// KubernetesService is Deployments and StatefulSets of one namespace.
type KubernetesService struct {
	Server    string   // https://host:6443; "" means the cluster that this program runs in, with its service account
	CAFile    string   // PEM
	TokenFile string   // read again for each call
	CertFile  string   // PEM, instead of a token
	KeyFile   string   //
	Namespace string   // "" means that of the service account
	Workloads []string // "deployment/web", "statefulset/queue": scaled down in this order, up in the reverse one
}

// CommandService is programs that halt and resume something. Each is an argument list; there is no shell.
type CommandService struct {
	Halt, Resume []string
	Probe        []string // exit 0: running; 3: halted; anything else: failing. None: nobody can tell
	Dir          string   // "" means /
	Env          []string // names of environment variables of the server that the programs get, besides PATH and LANG
}

// HealthCheck is a URL that answers 2xx, or a program that exits with 0, while a service is healthy.
type HealthCheck struct {
	URL     string
	Command []string
}

// HostServiceID is the ID of a service in the operator's file. It is the same after every start.
func HostServiceID(orgID, name string) string {
	sum := sha256.Sum256([]byte(orgID + "\x00" + name))
	return ServicePrefix + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// Where says in one line, for people, what a service of the operator's file is about; "" for any other. A command is
// known by its program alone: arguments may be nobody's business.
func (s Service) Where() string {
	h := s.Operator
	switch {
	case h == nil:
		return ""
	case h.Systemd != nil:
		return strings.Join(h.Systemd.Units, ", ")
	case h.Docker != nil && h.Docker.Project != "":
		return strings.Join(append([]string{"project " + h.Docker.Project}, h.Docker.Services...), ", ")
	case h.Docker != nil:
		return strings.Join(h.Docker.Containers, ", ")
	case h.Kubernetes != nil:
		return strings.TrimPrefix(h.Kubernetes.Namespace+": "+strings.Join(h.Kubernetes.Workloads, ", "), ": ")
	case h.Command != nil && len(h.Command.Halt) > 0:
		return path.Base(h.Command.Halt[0])
	}
	return ""
}
