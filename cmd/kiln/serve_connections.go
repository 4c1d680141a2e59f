package main

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections is a listener with at most limit connections open. When one
// comes that is too many, the connection that has rested longest is closed for
// it; where none rests, it waits, and those behind it wait in the kernel.
type connections struct {
	net.Listener
	limit int

	mu     sync.Mutex
	freed  *sync.Cond
	open   int
	idle   *list.List // of net.Conn, longest first
	places map[net.Conn]*list.Element
	closed bool
}

func limitConnections(l net.Listener, limit int) *connections {
	c := &connections{Listener: l, limit: limit, idle: list.New(), places: map[net.Conn]*list.Element{}}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// Accept implements net.Listener.
func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.limit && !c.closed {
		if first := c.idle.Front(); first != nil {
			rested := c.idle.Remove(first).(net.Conn)
			delete(c.places, rested)
			hangUp(rested)
		}
		c.freed.Wait()
	}
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.open++
	return conn, nil
}

// hangUp ends a connection at once, without the goodbye of TLS, which waits.
func hangUp(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}

// Close implements net.Listener.
func (c *connections) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.freed.Broadcast()
	return c.Listener.Close()
}

// state is the http.Server's ConnState: the connections themselves stay as
// they are, so that the kernel can send files on them.
func (c *connections) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place, ok := c.places[conn]; ok {
		c.idle.Remove(place)
		delete(c.places, conn)
	}
	switch state {
	case http.StateIdle:
		c.places[conn] = c.idle.PushBack(conn)
	case http.StateClosed, http.StateHijacked:
		c.open--
	default:
		return
	}
	c.freed.Signal()
}

// count is how many connections are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
