package gate_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/safepoint-db/safepoint/gate"
)

// An application that follows the state of its organization and answers with 503 while a restore has halted it.
func Example() {
	safepoint := restoring() // the server, in whose place there is one in this example that restores right now
	defer safepoint.Close()

	halted := make(chan struct{})
	g, err := gate.New(gate.Config{
		URL:   safepoint.URL,
		Token: "sp_viewer",
		OnHalt: func(context.Context, gate.State) error {
			close(halted) // close idle connections to the database
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	shop := g.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "sold") // here the database is used
	}))

	<-halted
	answer := httptest.NewRecorder()
	shop.ServeHTTP(answer, httptest.NewRequest("GET", "/cart", nil))
	fmt.Println(answer.Code, "Retry-After:", answer.Header().Get("Retry-After"))
	fmt.Print(answer.Body)
	// Output:
	// 503 Retry-After: 5
	// Back in a moment. Restoring shop
}

func restoring() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/me", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"organization": {"id": "org_k3jq7w2mfz5xv4na"}}`)
	})
	mux.HandleFunc("GET /api/v1/organizations/{id}/state/events", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "event: state\ndata: {\"state\":\"halted\",\"reason\":\"Restoring shop\",\"operation_id\":\"op_k3jq7w2mfz5xv4na\"}\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	return httptest.NewServer(mux)
}
