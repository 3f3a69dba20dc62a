"""Networks that no package of a Python package index holds, as plain PyTorch modules for peers.py.

Written from descriptions of what the originals compute. Weights have the originals' names and load strictly; Spleeter's, of
TensorFlow, are renamed. Against the originals' outputs in float32, the worst of what check_peer_networks.py looks at: SCNet
122.0 dB (a small network), LarsNet 120.5 (the released shape, weights by formula), GTCRN 132.7 (both trained checkpoints),
Spleeter 101.2 (four stems, a narrow network); with its published weights for two stems on music 101.4 for the accompaniment,
and 81.7 for vocals where there are next to none. In float64 the latter agree within 1 dB of that: the rest seems to be the
original's own rounding.
"""
import math

import torch
from torch import nn
from torch.nn.functional import glu, pad


# ---- SCNet


class BandConvolutions(nn.Module):
    """Residual branches along time; every frequency is a sequence of its own."""

    def __init__(self, channels, depth, compress, kernel):
        super().__init__()
        hidden = channels // compress
        self.layers = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(1, channels), nn.Conv1d(channels, 2 * hidden, kernel, padding=kernel // 2), nn.GLU(1),
                          nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden), nn.GroupNorm(1, hidden), nn.SiLU(),
                          nn.Conv1d(hidden, channels, 1)) for _ in range(depth))

    def forward(self, x):
        n, c, f, t = x.shape
        x = x.transpose(1, 2).reshape(n * f, c, t)
        for layer in self.layers:
            x = x + layer(x)
        return x.view(n, f, c, t).transpose(1, 2)


class BandsDown(nn.Module):
    """Three bands of frequencies, each convolved with a stride of its own; also how many went in and came out of each."""

    def __init__(self, inputs, outputs, shares, strides, kernels):
        super().__init__()
        self.shares, self.strides, self.kernels = shares, strides, kernels
        self.convs = nn.ModuleList(nn.Conv2d(inputs, outputs, (k, 1), (s, 1)) for k, s in zip(kernels, strides))

    def forward(self, x):
        size = x.shape[2]
        low, middle = math.ceil(size * self.shares[0]), math.ceil(size * (self.shares[0] + self.shares[1]))
        widths = [low, middle - low, size - middle]
        bands = []
        for band, conv, stride, kernel in zip(x.split(widths, 2), self.convs, self.strides, self.kernels):
            missing = kernel - 1 if stride == 1 else -band.shape[2] % stride
            bands.append(conv(pad(band, (0, 0, missing // 2, missing - missing // 2))))
        return bands, widths


class Encoder(nn.Module):
    def __init__(self, inputs, outputs, shares, strides, kernels, depths, compress, kernel):
        super().__init__()
        self.SDlayer = BandsDown(inputs, outputs, shares, strides, kernels)
        self.conv_modules = nn.ModuleList(BandConvolutions(outputs, depth, compress, kernel) for depth in depths)
        self.globalconv = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.act = nn.GELU()

    def forward(self, x):
        bands, widths = self.SDlayer(x)
        skip = torch.cat([self.act(convolutions(band)) for convolutions, band in zip(self.conv_modules, bands)], 2)
        return self.globalconv(skip), skip, widths, [band.shape[2] for band in bands]


class Fusion(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1)

    def forward(self, x, skip):
        return glu(self.conv((x + skip).repeat(1, 2, 1, 1)), 1)


class BandsUp(nn.Module):
    def __init__(self, inputs, outputs, strides, kernels):
        super().__init__()
        self.convtrs = nn.ModuleList(nn.ConvTranspose2d(inputs, outputs, (k, 1), (s, 1)) for k, s in zip(kernels, strides))

    def forward(self, x, widths, compressed):
        bands = []
        for band, conv, width in zip(x.split(compressed, 2), self.convtrs, widths):
            band = conv(band)
            first = (band.shape[2] - width) // 2
            bands.append(band[:, :, first:first + width])
        return torch.cat(bands, 2)


class DualPath(nn.Module):
    """Recurrent along frequency, then along time."""

    def __init__(self, channels, expand):
        super().__init__()
        hidden = expand * channels
        self.norm_layers = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(2))
        self.lstm_layers = nn.ModuleList(nn.LSTM(channels, hidden, batch_first=True, bidirectional=True) for _ in range(2))
        self.linear_layers = nn.ModuleList(nn.Linear(2 * hidden, channels) for _ in range(2))

    def forward(self, x):
        for norm, lstm, linear, order in zip(self.norm_layers, self.lstm_layers, self.linear_layers, [(0, 3, 2, 1), (0, 2, 3, 1)]):
            rows = norm(x).permute(order)  # [N, T, F, C], then [N, F, T, C]
            out = linear(lstm(rows.flatten(0, 1))[0]).view(rows.shape)
            x = x + out.permute(*(order.index(axis) for axis in range(4)))
        return x


class Separation(nn.Module):
    """Every other layer sees the transform of the features along time."""

    def __init__(self, channels, layers, expand):
        super().__init__()
        self.dp_modules = nn.ModuleList(DualPath((1 + i % 2) * channels, expand) for i in range(layers))

    def forward(self, x):
        frames = x.shape[3]
        for i, layer in enumerate(self.dp_modules):
            x = layer(x)
            if i % 2 == 0:
                spectrum = torch.fft.rfft(x, norm="ortho")
                x = torch.cat([spectrum.real, spectrum.imag], 1)
            else:
                x = torch.fft.irfft(torch.complex(*x.chunk(2, 1)), frames, norm="ortho")
        return x


class SCNet(nn.Module):
    """[N, channels, samples] -> [N, sources, channels, samples]."""

    def __init__(self, sources=4, dims=(4, 32, 64, 128), nfft=4096, hop=1024, shares=(0.175, 0.392, 0.433), strides=(1, 4, 16),
                 kernels=(3, 4, 16), depths=(3, 2, 1), compress=4, kernel=3, layers=6, expand=1):
        super().__init__()
        self.sources, self.hop, self.nfft = sources, hop, nfft
        levels = range(len(dims) - 1)
        self.encoder = nn.ModuleList(
            Encoder(dims[i], dims[i + 1], shares, strides, kernels, depths, compress, kernel) for i in levels)
        self.separation_net = Separation(dims[-1], layers, expand)
        self.decoder = nn.ModuleList(
            nn.ModuleList([Fusion(dims[i + 1]), BandsUp(dims[i + 1], dims[i] * (1 if i else sources), strides, kernels)])
            for i in reversed(levels))

    def forward(self, mix):
        n, channels, samples = mix.shape
        zeros = self.hop - samples % self.hop
        if (samples + zeros) // self.hop % 2 == 0:
            zeros += self.hop  # an even number of frames
        transform = dict(n_fft=self.nfft, hop_length=self.hop, window=mix.new_ones(self.nfft), normalized=True)
        spectrum = torch.stft(pad(mix, (0, zeros)).flatten(0, 1), return_complex=True, **transform)
        f, t = spectrum.shape[1:]
        x = torch.view_as_real(spectrum).permute(0, 3, 1, 2).reshape(n, 2 * channels, f, t)
        kept = []
        for encoder in self.encoder:
            x, *beside = encoder(x)
            kept.append(beside)
        x = self.separation_net(x)
        for fusion, up in self.decoder:
            skip, widths, compressed = kept.pop()
            x = up(fusion(x, skip), widths, compressed)
        x = torch.view_as_complex(x.reshape(-1, 2, f, t).permute(0, 2, 3, 1).contiguous())
        return torch.istft(x, length=samples, **transform).view(n, self.sources, channels, samples)


# ---- Spleeter and LarsNet: U-Nets over magnitudes, one a stem


class Same(nn.Conv2d):
    """Pads as TensorFlow does, one before and two behind."""

    def forward(self, x):
        return super().forward(pad(x, (1, 2, 1, 2)))


class SameTransposed(nn.ConvTranspose2d):
    def forward(self, x):
        return super().forward(x)[..., :-1, :-1]


class UNet(nn.Module):
    """Logits of a mask for magnitudes [N, 2, height, width], both multiples of 64."""

    def __init__(self, filters, same, last, down=nn.LeakyReLU(0.2), up=nn.ReLU(), eps=1e-5):
        super().__init__()
        self.down, self.up, levels = down, up, range(len(filters))
        ins, outs = [2, *filters], [last, *filters]
        for i in levels:
            conv = Same(ins[i], filters[i], 5, 2) if same else nn.Conv2d(ins[i], filters[i], 5, 2, padding=2)
            self.add_module(f"enc{i + 1}", nn.ModuleDict({"conv": conv, "bn": nn.BatchNorm2d(filters[i], eps)}))
        for i in levels:
            level = levels[-1] - i
            shape = (1 if i == 0 else 2) * filters[level], outs[level], 5, 2
            conv = SameTransposed(*shape, padding=1) if same else nn.ConvTranspose2d(*shape, padding=2, output_padding=1)
            self.add_module(f"dec{i + 1}", nn.ModuleDict({"conv_trans": conv, "bn": nn.BatchNorm2d(outs[level], eps)}))
        self.mask_layer = nn.Sequential(nn.Conv2d(last, 2, 4, dilation=2, padding=3))
        self.encoders = [f"enc{i + 1}" for i in levels]
        self.decoders = [f"dec{i + 1}" for i in levels]

    def forward(self, x):
        skips = []
        for name in self.encoders:
            layer = getattr(self, name)
            if skips:
                x = self.down(bn(x))
            x = layer["conv"](x)
            bn = layer["bn"]  # of the last one there is no use
            skips.append(x)
        x = None
        for name in self.decoders:
            layer, skip = getattr(self, name), skips.pop()
            x = layer["bn"](self.up(layer["conv_trans"](skip if x is None else torch.cat([skip, x], 1))))
        return self.mask_layer(x)


class MaskingUNets(nn.Module):
    """[2, samples] -> [stems, 2, samples]: each stem's mask over the lower bins, in blocks of 512 frames; nothing above."""

    FRAMES, FFT, HOP = 512, 4096, 1024

    def __init__(self, networks, bins, pad_mode):
        super().__init__()
        self.networks, self.bins, self.pad_mode = nn.ModuleDict(networks), bins, pad_mode
        self.register_buffer("window", torch.hann_window(self.FFT), persistent=False)

    def forward(self, mix):
        transform = dict(n_fft=self.FFT, hop_length=self.HOP, window=self.window)
        spectrum = torch.stft(mix, pad_mode=self.pad_mode, return_complex=True, **transform)
        frames = spectrum.shape[2]
        seen = pad(spectrum[:, :self.bins], (0, -frames % self.FRAMES))
        blocks = seen.abs().unflatten(2, (-1, self.FRAMES)).permute(2, 0, 1, 3)  # [blocks, 2, bins, frames]
        masks = self.masks(blocks).permute(0, 2, 3, 1, 4).flatten(3)
        stems = pad((seen * masks)[..., :frames], (0, 0, 0, spectrum.shape[1] - self.bins))
        return torch.istft(stems.flatten(0, 1), length=mix.shape[1], **transform).unflatten(0, (-1, 2))


class Spleeter(MaskingUNets):
    """Shares of the stems' squared estimates."""

    def __init__(self, stems=("vocals", "accompaniment"), filters=(16, 32, 64, 128, 256, 512), **activations):
        super().__init__({stem: UNet(filters, True, 1, eps=1e-3, **activations) for stem in stems}, 1024, "constant")

    def masks(self, magnitudes):
        x = magnitudes.transpose(2, 3)
        parts = torch.stack([(torch.sigmoid(network(x)) * x) ** 2 for network in self.networks.values()])
        return ((parts + 1e-10 / len(parts)) / (parts.sum(0) + 1e-10)).transpose(3, 4)


class LarsNet(MaskingUNets):
    def __init__(self, stems=("kick", "snare", "toms", "hihat", "cymbals")):
        networks = {stem: UNet((16, 32, 64, 128, 256, 512), False, 2) for stem in stems}
        for network in networks.values():
            network.input_norm = nn.BatchNorm2d(2048)  # over frequencies
        super().__init__(networks, 2048, "reflect")

    def masks(self, magnitudes):
        return torch.stack([torch.sigmoid(network(network.input_norm(magnitudes.transpose(1, 2)).transpose(1, 2)))
                            for network in self.networks.values()])


# ---- GTCRN


class Block(nn.Module):
    """A convolution along frequency with its norm and activation, down or up by two."""

    def __init__(self, conv, inputs, outputs, groups=1, act=None):
        super().__init__()
        self.conv = conv(inputs, outputs, (1, 5), (1, 2), (0, 2), groups=groups)
        self.bn, self.act = nn.BatchNorm2d(outputs), act or nn.PReLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Attention(nn.Module):
    """Gates each channel by what its energy has been."""

    def __init__(self, channels):
        super().__init__()
        self.att_gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.att_fc = nn.Linear(2 * channels, channels)

    def forward(self, x):
        energy = (x ** 2).mean(3).transpose(1, 2)
        return x * torch.sigmoid(self.att_fc(self.att_gru(energy)[0])).transpose(1, 2)[..., None]


def neighbours(x):
    """Each band with the one below and the one above: [N, C, T, F] -> [N, 3 C, T, F]."""
    wider, bands = pad(x, (1, 1)), x.shape[3]
    return torch.stack([wider[..., i:i + bands] for i in range(3)], 2).flatten(1, 2)


class TemporalBlock(nn.Module):
    """Half of the channels pass a causal depthwise convolution, and both halves are shuffled."""

    def __init__(self, conv, dilation):
        super().__init__()
        # Transposed, it would reach into the future unless as much is cut off.
        self.past, cut = 2 * dilation, 2 * dilation if conv is nn.ConvTranspose2d else 0
        self.point_conv1, self.point_bn1, self.point_act = conv(24, 16, 1), nn.BatchNorm2d(16), nn.PReLU()
        self.depth_conv = conv(16, 16, 3, padding=(cut, 1), dilation=(dilation, 1), groups=16)
        self.depth_bn, self.depth_act = nn.BatchNorm2d(16), nn.PReLU()
        self.point_conv2, self.point_bn2 = conv(16, 8, 1), nn.BatchNorm2d(8)
        self.tra = Attention(8)

    def forward(self, x):
        x, beside = x.chunk(2, 1)
        x = self.point_act(self.point_bn1(self.point_conv1(neighbours(x))))
        x = self.depth_act(self.depth_bn(self.depth_conv(pad(x, (0, 0, self.past, 0)))))
        x = self.tra(self.point_bn2(self.point_conv2(x)))
        return torch.stack([x, beside], 2).flatten(1, 2)


class GroupedGRU(nn.Module):
    def __init__(self, hidden, both_ways):
        super().__init__()
        self.rnn1 = nn.GRU(8, hidden, batch_first=True, bidirectional=both_ways)
        self.rnn2 = nn.GRU(8, hidden, batch_first=True, bidirectional=both_ways)

    def forward(self, x):
        first, second = x.chunk(2, 2)
        return torch.cat([self.rnn1(first)[0], self.rnn2(second)[0]], 2)


class DualPathGRU(nn.Module):
    """Recurrent along the bands of a frame, both ways, then along time. [N, T, F, C]."""

    def __init__(self, width=33, channels=16):
        super().__init__()
        self.intra_rnn, self.inter_rnn = GroupedGRU(channels // 4, True), GroupedGRU(channels // 2, False)
        self.intra_fc, self.inter_fc = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.intra_ln, self.inter_ln = (nn.LayerNorm((width, channels), eps=1e-8) for _ in range(2))

    def forward(self, x):
        x = x + self.intra_ln(self.intra_fc(self.intra_rnn(x.flatten(0, 1))).view(x.shape))
        rows = x.transpose(1, 2)
        out = self.inter_fc(self.inter_rnn(rows.flatten(0, 1))).view(rows.shape)
        return x + self.inter_ln(out.transpose(1, 2))


class GTCRN(nn.Module):
    """Spectra [N, 257, T, 2] -> enhanced ones."""

    LOW = 65  # bins that are left as they are; the others become 64 bands

    def __init__(self):
        super().__init__()
        down, up = nn.Conv2d, nn.ConvTranspose2d
        self.erb = nn.ModuleDict({"erb_fc": nn.Linear(192, 64, bias=False), "ierb_fc": nn.Linear(64, 192, bias=False)})
        self.encoder = nn.ModuleDict({"en_convs": nn.ModuleList(
            [Block(down, 9, 16), Block(down, 16, 16, 2), *(TemporalBlock(down, dilation) for dilation in (1, 2, 5))])})
        self.dpgrnn1, self.dpgrnn2 = DualPathGRU(), DualPathGRU()
        self.decoder = nn.ModuleDict({"de_convs": nn.ModuleList(
            [*(TemporalBlock(up, dilation) for dilation in (5, 2, 1)), Block(up, 16, 16, 2), Block(up, 16, 2, act=nn.Tanh())])})

    def forward(self, spectrum):
        real, imaginary = spectrum.permute(3, 0, 2, 1)
        x = torch.stack([(real ** 2 + imaginary ** 2 + 1e-12).sqrt(), real, imaginary], 1)
        x = neighbours(torch.cat([x[..., :self.LOW], self.erb["erb_fc"](x[..., self.LOW:])], 3))
        skips = []
        for layer in self.encoder["en_convs"]:
            skips.append(x := layer(x))
        x = self.dpgrnn2(self.dpgrnn1(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        for layer in self.decoder["de_convs"]:
            x = layer(x + skips.pop())
        gain_real, gain_imaginary = torch.cat([x[..., :self.LOW], self.erb["ierb_fc"](x[..., self.LOW:])], 3).unbind(1)
        return torch.stack([real * gain_real - imaginary * gain_imaginary, imaginary * gain_real + real * gain_imaginary],
                           -1).transpose(1, 2)
