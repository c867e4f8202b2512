// The basic story with the Go client: invoke, event, stream, group, on each transport and protocol that it knows.
package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/go-kit/log"
	"github.com/philippseith/signalr"
)

const wait = 15 * time.Second

var passed, failed int

// listener has a method for each event; the client finds it by name.
type listener struct {
	signalr.Receiver
	events chan string
}

func (l *listener) Broadcast(payload string) { l.events <- payload }
func (l *listener) Message(payload string)   { l.events <- payload }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: story HUB_URL")
		os.Exit(2)
	}
	for _, way := range []struct {
		transport signalr.TransportType
		format    signalr.TransferFormatType
	}{
		{signalr.TransportWebSockets, signalr.TransferFormatText},
		{signalr.TransportWebSockets, signalr.TransferFormatBinary},
		{signalr.TransportServerSentEvents, signalr.TransferFormatText},
	} {
		tell(os.Args[1], way.transport, way.format)
	}
	fmt.Printf("%d passed, %d failed, 0 skipped\n", passed, failed)
	if failed > 0 || passed == 0 {
		os.Exit(1)
	}
}

func tell(url string, transport signalr.TransportType, format signalr.TransferFormatType) {
	name := fmt.Sprintf("go %s %s", transport, format)
	group := name
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	hears := &listener{events: make(chan string, 100)}
	var client signalr.Client

	check(name, "connect", func() error {
		connection, err := signalr.NewHTTPConnection(ctx, url, signalr.WithTransports(transport))
		if err != nil {
			return err
		}
		client, err = signalr.NewClient(ctx, signalr.WithConnection(connection), signalr.WithReceiver(hears),
			signalr.TransferFormat(format), signalr.Logger(log.NewNopLogger(), false))
		if err != nil {
			return err
		}
		client.Start()
		limited, done := context.WithTimeout(ctx, wait)
		defer done()
		return <-client.WaitForState(limited, signalr.ClientConnected)
	})
	if client == nil {
		return
	}
	check(name, "invoke returns what was sent", func() error {
		return answers(client, "grüße ☃", "Echo", "grüße ☃")
	})
	check(name, "a member of a group gets each of its events once", func() error {
		if err := answers(client, nil, "JoinGroup", group); err != nil {
			return err
		}
		for number := 0; number < 5; number++ {
			if err := answers(client, nil, "SendToGroup", group, fmt.Sprint("news ", number)); err != nil {
				return err
			}
		}
		// The client runs each handler in a goroutine of its own, so the order they end in is not the
		// server's: it is asserted with the clients that keep it.
		var got []string
		for number := 0; number < 5; number++ {
			select {
			case event := <-hears.events:
				got = append(got, event)
			case <-time.After(wait):
				return fmt.Errorf("event %d did not come", number)
			}
		}
		sort.Strings(got)
		return equal("[news 0 news 1 news 2 news 3 news 4]", fmt.Sprint(got))
	})
	check(name, "who left gets nothing", func() error {
		if err := answers(client, nil, "LeaveGroup", group); err != nil {
			return err
		}
		if err := answers(client, nil, "SendToGroup", group, "too late"); err != nil {
			return err
		}
		if err := answers(client, "flush", "Echo", "flush"); err != nil {
			return err
		}
		return equal(0, len(hears.events))
	})
	check(name, "a stream brings every item", func() error {
		var items []any
		limit := time.After(wait)
		stream := client.PullStream("Counter", 5, 1)
		for {
			select {
			case item, more := <-stream:
				if !more {
					return equal("[0 1 2 3 4]", fmt.Sprint(items))
				}
				if item.Error != nil {
					return item.Error
				}
				items = append(items, item.Value)
			case <-limit:
				return fmt.Errorf("only %v came", items)
			}
		}
	})
	check(name, "stop", func() error {
		client.Stop()
		limited, done := context.WithTimeout(context.Background(), wait)
		defer done()
		return <-client.WaitForState(limited, signalr.ClientClosed)
	})
}

func answers(client signalr.Client, expected any, method string, arguments ...any) error {
	select {
	case result := <-client.Invoke(method, arguments...):
		if result.Error != nil {
			return result.Error
		}
		return equal(expected, result.Value)
	case <-time.After(wait):
		return fmt.Errorf("%s was not answered in time", method)
	}
}

func equal(expected, actual any) error {
	if expected != actual {
		return fmt.Errorf("expected %v, got %v", expected, actual)
	}
	return nil
}

func check(name, promise string, step func() error) {
	if err := step(); err != nil {
		failed++
		fmt.Printf("FAIL  %s: %s: %v\n", name, promise, err)
		return
	}
	passed++
	fmt.Printf("ok    %s: %s\n", name, promise)
}
