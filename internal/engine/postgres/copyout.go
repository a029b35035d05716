package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// rowSink takes what COPY … TO STDOUT sends. Rows are good until the call returns, and end with a newline.
type rowSink interface {
	begin() error
	row(row []byte) error
	end(rows int64) error // how many the server speaks of
}

// copyOut sends statements as one message, COPY … TO STDOUT among them, and hands on what comes. After an error that
// is not the server's own the session is closed.
func copyOut(ctx context.Context, conn *pgconn.PgConn, sql string, sink rowSink) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer cancelWith(ctx, conn)()
	front := conn.Frontend()
	front.SendQuery(&pgproto3.Query{String: sql})
	if err := front.Flush(); err != nil {
		return breakOff(conn, err)
	}
	copying := false
	var reported error
	for {
		message, err := front.Receive()
		if err != nil {
			return breakOff(conn, err)
		}
		switch m := message.(type) {
		case *pgproto3.CopyData:
			err = sink.row(m.Data)
		case *pgproto3.CopyOutResponse:
			copying = true
			err = sink.begin()
		case *pgproto3.CommandComplete:
			if copying {
				copying = false
				err = sink.end(pgconn.NewCommandTag(string(m.CommandTag)).RowsAffected())
			}
		case *pgproto3.ErrorResponse:
			reported = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return reported
		}
		if err != nil {
			return breakOff(conn, err)
		}
	}
}

// What a sink may find wrong.
var (
	errNoRowEnd      = errors.New("the server sent a row without its end")
	errTooManyTables = errors.New("the server sent more tables than were asked for")
)

func rowsMiscounted(came, spoken int64) error {
	return fmt.Errorf("%d rows came, the server speaks of %d", came, spoken)
}

// cancelWith has the server stop when ctx ends, and gives up on its answer a little later. The function that it
// returns must be called when the answer has come.
func cancelWith(ctx context.Context, conn *pgconn.PgConn) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		conn.Conn().SetDeadline(time.Now().Add(closeTimeout))
		ask, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		conn.CancelRequest(ask)
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// breakOff ends a session in the middle of an answer.
func breakOff(conn *pgconn.PgConn, why error) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	conn.CancelRequest(ctx)
	conn.Close(ctx)
	return fmt.Errorf("read rows: %w", why)
}
