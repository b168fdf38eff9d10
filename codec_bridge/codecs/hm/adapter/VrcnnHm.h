/* vrcnn-int in HM: what HM's own headers need to know. Nothing of the filter library shows here.
 *
 * Copyright (c) 2026, the vrcnn-int authors. SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRCNN_HM_H
#define VRCNN_HM_H

#include <cstddef>
#include <string>
#include <vector>

/* The bytes of a slice segment header's extension. They travel with the slice: a decoder reads the next picture's header before it
 * filters the previous picture. */
class VrcnnHmExtension
{
  public:
    /* What the standard allows, and one byte more to tell that there were too many. */
    enum { MAX_SIZE = 256 };

    void clear()
    {
        m_bytes.clear();
    }
    void append(unsigned byte)
    {
        if (m_bytes.size() <= MAX_SIZE)
            m_bytes.push_back((unsigned char)byte);
    }
    void assign(const unsigned char *data, std::size_t size)
    {
        m_bytes.assign(data, data + size);
    }
    const unsigned char *data() const
    {
        return m_bytes.empty() ? NULL : &m_bytes[0];
    }
    std::size_t size() const
    {
        return m_bytes.size();
    }

  private:
    std::vector<unsigned char> m_bytes;
};

/* The options of the one encoder or decoder that runs in HM's programs. */
struct VrcnnHmOptions {
    bool enabled;
    int position;
    std::string model;
    std::string size;
    int map;
    bool sei;
    int threads;
    std::string kernel;

    static VrcnnHmOptions &get();

    template <class Options> void addEncoder(Options &options)
    {
        options.addOptions()("VRCNN", enabled, false, "CNN in-loop filter: 0 off, 1 on (decided for each picture)")(
            "VRCNNPosition", position, 0, "Where the CNN filter stands: 0 before deblocking, 1 after SAO")(
            "VRCNNMap", map, 1, "CNN filter on or off: 0 for whole pictures, 1 for units of a picture")(
            "VRCNNSize", size, std::string("best"),
            "Networks of the CNN filter, where a model set has joint ones of both sizes: fast or best")(
            "VRCNNSEI", sei, true, "SEI message that the stream needs the CNN filter, once in it, if the filter is on");
        addDecoder(options);
    }

    template <class Options> void addDecoder(Options &options)
    {
        options.addOptions()("VRCNNModel", model, std::string("builtin"),
                             "Model set of the CNN filter: builtin, joint_intra or another one that is built in, or a .vrcnn file")(
            "VRCNNThreads", threads, 1, "Threads of the CNN filter")(
            "VRCNNKernel", kernel, std::string("auto"), "Kernels of the CNN filter: auto, scalar, avx2, ... (all give the same bits)");
    }
};

#endif
