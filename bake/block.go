package bake

import "kiln/bake/template"

// block is how the jobs of one image's platforms find each other: the first
// publishes the version that all of them are.
type block struct {
	jobs    []*job // by platform
	checked chan struct{}
	img     *Image // built and tested; with unchecked final once checked is closed
	failed  error
}

// blocks tells the jobs of images for several platforms of each other.
func blocks(jobs []*job) {
	by := map[string][]*job{}
	for _, j := range jobs {
		if len(j.recipe.All) > 1 {
			by[j.recipe.Name] = append(by[j.recipe.Name], j)
		}
	}
	for _, list := range by {
		for _, j := range list {
			j.block = &block{jobs: list, checked: make(chan struct{})}
		}
	}
}

// follows says that another job publishes what j built.
func (j *job) follows() bool { return j.block != nil && j.block.jobs[0] != j }

// join is told how building and testing ended, and returns what j has to
// publish: its image, the version that it is part of, or nil where another job
// publishes, which it waits for. Before a version comes what it is from.
func (j *job) join(img *Image, err error) (*Image, error) {
	if j.block != nil {
		j.block.img, j.block.failed = img, err
		close(j.block.checked)
	}
	switch {
	case err != nil:
		return nil, err
	case j.block == nil:
		return img, j.needed()
	case j.follows():
		lead := j.block.jobs[0]
		<-lead.done
		if j.baked = lead.baked; lead.err != nil {
			return nil, j.skipped(lead.recipe)
		}
		return nil, nil
	}
	return j.together()
}

func (j *job) together() (*Image, error) {
	var images []*Image
	for _, other := range j.block.jobs {
		if <-other.block.checked; other.block.failed != nil {
			return nil, j.skipped(other.recipe)
		}
		if err := other.needed(); err != nil {
			return nil, j.skipped(other.recipe)
		}
		images = append(images, other.block.img)
	}
	whole, err := together(images)
	if err != nil {
		return nil, failed(j.recipe, j.recipe.Pos, "assemble", err)
	}
	for _, img := range images {
		img.Of = whole.Digest
	}
	return whole, nil
}

// needed waits until what j is from is published.
func (j *job) needed() error {
	for _, need := range j.needs {
		if <-need.done; need.err != nil {
			return j.skipped(need.recipe)
		}
	}
	return nil
}

func (j *job) skipped(because *template.Image) error {
	return &SkippedError{Image: j.recipe.LockName(), Needs: because.LockName()}
}
