package safepoint

import "time"

// ServiceKind is how a service is halted and resumed.
type ServiceKind string

const (
	ServiceWebhook   ServiceKind = "webhook"   // signed HTTP calls to the service itself
	ServicePgBouncer ServiceKind = "pgbouncer" // PAUSE and RESUME on a PgBouncer's admin console

	// Declared in the operator's file only.
	ServiceSystemd    ServiceKind = "systemd"    // units, over D-Bus
	ServiceDocker     ServiceKind = "docker"     // containers, or a compose project
	ServiceKubernetes ServiceKind = "kubernetes" // Deployments and StatefulSets, scaled to 0 and back
	ServiceCommand    ServiceKind = "command"    // programs
)

// Service is something of the organization that uses its databases, which Safepoint can halt and resume.
type Service struct {
	ID             string
	OrganizationID string
	Name           string
	Kind           ServiceKind
	Position       int // halted in this order, resumed in the reverse one
	Timeout        time.Duration
	// webhook
	HaltURL   string
	ResumeURL string
	HealthURL string // optional; 2xx means running and healthy
	// pgbouncer
	Host   string
	Port   int
	User   string
	DBName string // the pool to pause; "" means all

	// Operator is set where the operator's file declares the service: it is changed there and nowhere else.
	Operator *HostService

	HasSecret bool // webhook: the signing secret; pgbouncer: the password
	CreatedAt time.Time
	Version   int
}

// OrganizationState says whether the organization's services may work on its databases.
type OrganizationState struct {
	State       string    // "operating" or "halted"
	Since       time.Time // zero if it never changed
	Reason      string    // why it is halted, for people
	Until       time.Time // about when it ends; zero if not known
	OperationID string    // the restore that halted it
	Attention   []string  // names of services that could not be resumed; they need a person
}

const (
	StateOperating = "operating"
	StateHalted    = "halted"
)
