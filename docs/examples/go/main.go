// Command go is an example of an application that Safepoint can halt and resume (docs/services.md), with the package
// gate. It is a service of kind webhook at /safepoint; with SAFEPOINT_URL and SAFEPOINT_TOKEN (a viewer's) it also asks
// for the organization's state, so that it starts up right while a restore is under way.
//
//	SAFEPOINT_SECRET=whsec_… go run ./docs/examples/go -listen 127.0.0.1:9100
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/safepoint-db/safepoint/gate"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9100", "address")
	flag.Parse()
	g, err := gate.New(gate.Config{
		URL: os.Getenv("SAFEPOINT_URL"), Token: os.Getenv("SAFEPOINT_TOKEN"), Logger: slog.Default(),
		Hold: 2 * time.Second, // a restore with the instant switch is over before a user notices
		OnHalt: func(context.Context, gate.State) error {
			return nil // here idle connections to the database are closed
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	hook, err := g.WebhookHandler(os.Getenv("SAFEPOINT_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	app := http.NewServeMux()
	app.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "done") // here the database is used
	})
	http.Handle("/safepoint", hook) // halt URL, resume URL and health URL
	http.Handle("/", g.Middleware(app))
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
