package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
)

// conn is one connection of a client, with no more HTTP than this needs.
type conn struct {
	net.Conn
	addr string
	in   *bufio.Reader
	buf  []byte
	gets map[string][]byte // requests that are asked again and again
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, addr: addr, in: bufio.NewReaderSize(c, 16<<10), buf: make([]byte, 256<<10)}, nil
}

// answer is what a request was answered; its body was read and thrown away.
type answer struct {
	status   int
	location string
	link     bool // there is another page
	size     int64
}

// get asks for path, as it did before.
func (c *conn) get(path, header string) (answer, error) {
	request := c.gets[path]
	if request == nil {
		request = []byte("GET " + path + " HTTP/1.1\r\nHost: " + c.addr + "\r\n" + header + "\r\n")
		if c.gets == nil {
			c.gets = map[string][]byte{}
		}
		c.gets[path] = request
	}
	if _, err := c.Write(request); err != nil {
		return answer{}, err
	}
	return c.read(true)
}

// do sends a request and reads the answer to its end.
func (c *conn) do(method, path, header string, body blob) (answer, error) {
	head := method + " " + path + " HTTP/1.1\r\nHost: " + c.addr + "\r\n" + header
	if method != "GET" {
		head += "Content-Length: " + strconv.FormatInt(body.size, 10) + "\r\n"
	}
	parts := append(net.Buffers{[]byte(head + "\r\n")}, body.bytes()...)
	if _, err := parts.WriteTo(c.Conn); err != nil {
		return answer{}, err
	}
	return c.read(true)
}

// head asks whether something is there.
func (c *conn) head(path string) (answer, error) {
	if _, err := io.WriteString(c.Conn, "HEAD "+path+" HTTP/1.1\r\nHost: "+c.addr+"\r\n\r\n"); err != nil {
		return answer{}, err
	}
	return c.read(false)
}

// putText puts a manifest.
func (c *conn) putText(path, mediaType, content string) (answer, error) {
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, c.addr, mediaType, len(content))
	if _, err := io.WriteString(c.Conn, head+content); err != nil {
		return answer{}, err
	}
	a, err := c.read(true)
	if err == nil && a.status != 201 {
		err = fmt.Errorf("PUT %s: status %d, want 201", path, a.status)
	}
	return a, err
}

// read reads an answer; one to HEAD has no body.
func (c *conn) read(hasBody bool) (answer, error) {
	var a answer
	var length int64
	chunked := false
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			if len(line) < 12 {
				return a, fmt.Errorf("answer begins with %q", line)
			}
			a.status, _ = strconv.Atoi(string(line[9:12]))
			continue
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case is(name, "Content-Length"):
			length, _ = strconv.ParseInt(string(value), 10, 64)
		case is(name, "Transfer-Encoding"):
			chunked = true
		case is(name, "Location"):
			a.location = string(value)
		case is(name, "Link"):
			a.link = true
		}
	}
	if !hasBody {
		return a, nil
	}
	if !chunked && length <= int64(c.in.Buffered()) {
		n, err := c.in.Discard(int(length))
		a.size = int64(n)
		return a, err
	}
	var body io.Reader = io.LimitReader(c.in, length)
	if chunked {
		body = httputil.NewChunkedReader(c.in)
	}
	n, err := c.discard(body)
	a.size = n
	if err == nil && chunked {
		_, err = c.in.Discard(2) // the end of the last chunk
	}
	if err == nil && !chunked && n != length {
		err = io.ErrUnexpectedEOF
	}
	return a, err
}

func is(name []byte, header string) bool {
	return len(name) == len(header) && strings.EqualFold(string(name), header)
}

func (c *conn) discard(r io.Reader) (n int64, err error) {
	for {
		m, err := r.Read(c.buf)
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// want does a request and refuses another status than that.
func (c *conn) want(status int, method, path, header string, body blob) (answer, error) {
	a, err := c.do(method, path, header, body)
	if err != nil {
		return a, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if a.status != status {
		return a, fmt.Errorf("%s %s: status %d, want %d", method, path, a.status, status)
	}
	return a, nil
}

// pathOf is the path and query of a Location.
func pathOf(location string) string {
	if _, rest, ok := strings.Cut(location, "://"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return "/" + rest
	}
	return location
}

// style is how a client uploads.
type style string

const (
	whole   style = "POST+PUT"       // containerd, oras
	chunked style = "POST+PATCH+PUT" // docker, crane
)

// push uploads a blob.
func (c *conn) push(repo string, b blob, how style) error {
	const octets = "Content-Type: application/octet-stream\r\n"
	a, err := c.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", "", blob{})
	if err != nil {
		return err
	}
	last := b
	if how == chunked {
		a, err = c.want(202, "PATCH", pathOf(a.location), octets, b)
		if err != nil {
			return err
		}
		last = blob{}
	}
	path := pathOf(a.location)
	if strings.Contains(path, "?") {
		path += "&digest=" + b.digest
	} else {
		path += "?digest=" + b.digest
	}
	_, err = c.want(201, "PUT", path, octets, last)
	return err
}
